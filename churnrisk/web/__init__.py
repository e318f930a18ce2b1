"""The red list in the browser: pages rendered on the server, sign-in and sessions, a JSON API."""
