"""One module per page: routes read their input, call one use case and render a template."""
