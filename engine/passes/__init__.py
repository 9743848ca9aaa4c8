"""Graph → graph, one rewrite a file. Every pass is verified before and after by `engine.compiler`."""
