"""The live web page: one server, any number of browsers, nothing from elsewhere."""
