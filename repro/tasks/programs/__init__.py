"""Program synthesis in a small language: descriptions, programs, suites, tokenizer and the task set."""
