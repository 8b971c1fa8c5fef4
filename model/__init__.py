"""The click model: clicks and encodings, networks, fast inference, checkpoints, versions, evaluation."""
