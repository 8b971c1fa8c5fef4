"""What users of version 0.1 see and have stored: answers, commands, settings and data that later versions keep."""
