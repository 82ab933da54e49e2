"""The paper's own setting: nodes of GPUs. Memory, costs, launching, preemption, data for nodes without a network."""
