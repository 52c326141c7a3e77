"""One module a group of commands; the table that names them is `towline_cli.group`."""
