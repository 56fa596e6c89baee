"""The files of `deploy/`, checked and made by the tools of those who will read them."""
