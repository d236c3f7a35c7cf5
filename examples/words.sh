# Prints the words of festlex-cmu with their phonemes, a line each, for examples/transformer.smelt: the word, a tab, a letter for each phoneme. Words of
# other signs than a to z, of more than 20 letters or of more than 21 phonemes are left out; of several ways to say a word the first is taken.
dict=/usr/share/festival/dicts/cmu/cmudict-0.4.out
LC_ALL=C awk -F'"' '
  BEGIN {
    n = split("aa ae ah ao aw ax ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w y z zh", phonemes, " ")
    for (i = 1; i <= n; i++) code[phonemes[i]] = sprintf("%c", i + (i < 27 ? 64 : 70))  # A to Z, a to n
  }
  NF == 3 && $2 ~ /^[a-z]+$/ && !seen[$2]++ {
    sub(/^[^(]*\(/, "", $3)
    gsub(/[()0-9]/, " ", $3)
    k = split($3, said, " ")
    sound = ""
    for (i = 1; i <= k; i++) sound = sound code[said[i]]
    if (length($2) <= 20 && k <= 21 && length(sound) == k) printf "%s\t%s\n", $2, sound
  }' "$dict"
