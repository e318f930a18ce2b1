"""One module per page: each route reads its input, calls one workflow and renders a template."""
