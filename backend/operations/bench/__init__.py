"""`clickmask bench`: how long clicks take, what that depends on, and how many people one machine carries."""
