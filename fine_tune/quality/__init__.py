"""How good an annotation is, told from how it was made: steps -> features -> predicted IoU."""
