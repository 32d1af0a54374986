"""Writers of the formats that are converted by packages of their own."""
