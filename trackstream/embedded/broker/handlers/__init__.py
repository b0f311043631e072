"""One function per API: from a decoded request to the body of its response."""
