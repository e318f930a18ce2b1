"""One file per page: each route parses, calls one use case and renders a template."""
