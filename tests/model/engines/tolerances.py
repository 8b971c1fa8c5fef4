"""How far the engines may be from each other."""

SIZE = 128  # at 64 pixels the coarsest level has 2x2 places, and OpenVINO is not exact to the last bit there
TOLERANCE = 2e-4  # of a probability; masks of both engines agree except where p is this near to 0.5
HALF_TOLERANCE = 0.05  # of bfloat16, whose numbers have eight significant bits
