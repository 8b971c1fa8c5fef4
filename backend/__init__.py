"""What Label Studio talks to: its protocol, images, clicks, review, jobs, web server, command line."""
