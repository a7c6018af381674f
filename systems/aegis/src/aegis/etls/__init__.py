"""The two kinds of report that can be asked for one by one: `python -m aegis.etls.<kind>.main`."""
