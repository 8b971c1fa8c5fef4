"""What Label Studio talks to: protocol, images, click sessions, results, command line."""
