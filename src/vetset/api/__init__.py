"""One function a command. Here files are loaded and requests are checked; what happens then is in the stages."""
