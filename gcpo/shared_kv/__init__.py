"""Optional encoder of GCPO's contexts: every segment is encoded once, and contexts read its keys by reference."""
