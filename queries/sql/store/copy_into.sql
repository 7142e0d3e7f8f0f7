-- All tables into another file, written anew. `original` stands for the store's name.
COPY FROM DATABASE original TO abkit_rewritten
