"""Who is looked for, who is alike, and what became of it: subjects, matching, sightings."""
