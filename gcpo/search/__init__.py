"""Search over steps of a solution: MCTS* for training data, MCTS at test time. Any causal LM of transformers."""
