"""`homeward up`: the services and their engines on one machine, in one supervised process tree."""
