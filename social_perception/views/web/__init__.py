"""The live web page: one server, any number of browsers, no requests to other sites."""
