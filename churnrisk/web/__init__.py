"""The red list in the browser: server-rendered pages, sign-in and sessions, a JSON API."""
