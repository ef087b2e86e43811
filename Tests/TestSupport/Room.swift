// Checks that several test targets use.
