// This room has no tests yet.
