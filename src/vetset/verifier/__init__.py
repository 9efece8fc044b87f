"""Ask somebody competent about candidates. One service a file, behind one protocol."""
