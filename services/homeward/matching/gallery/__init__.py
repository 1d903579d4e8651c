"""The templates of the people who are looked for."""
