"""What passes between vtune and other tuners, and from one study to the next."""
