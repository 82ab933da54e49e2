"""The paper's benchmarks: loading, prompts, sampling protocols, grading, storage, scores and reports of real models."""
