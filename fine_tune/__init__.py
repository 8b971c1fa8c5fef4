"""What accepted annotations teach: samples, training, jobs and gates, proposals, quality from clicks, benchmarks."""
