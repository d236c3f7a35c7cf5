# Sourced by run and reduce: a copy of the sources with a build of its own, in which mistakes are planted one at a time.
# Between two mistakes ninja compiles again only what the changed file touches, and ccache has what was compiled before.
tree=build/faults/tree
build=$tree/build/release

# Copies what differs, so that ninja finds the rest older than its objects; removes what the sources no longer have.
refresh_tree() {
  mkdir -p "$tree"
  local file
  while IFS= read -r -d '' file; do
    cmp -s "$file" "$tree/$file" || { mkdir -p "$tree/$(dirname "$file")" && cp -a "$file" "$tree/$file" && touch "$tree/$file"; }
  done < <(find . \( -path ./build -o -path ./.git -o -path ./runs \) -prune -o \( -type f -o -type l \) -print0)
  while IFS= read -r -d '' file; do
    [ -e "$file" ] || rm -f "$tree/$file"
  done < <(cd "$tree" && find . -path ./build -prune -o \( -type f -o -type l \) -print0)
}

# One file that changed is compiled alone. In the place that the preset gives it, so that ccache with a `base_dir` has what another tree compiled.
configure_tree() { (cd "$tree" && cmake --preset release -DSMELT_UNITY=OFF > /dev/null); }

# build_target NAME..: says what the compiler said when it fails.
build_target() {
  local said
  said=$(cmake --build "$build" --target "$@" 2>&1) || { echo "$said" | tail -n 30 >&2; return 1; }
}

# plant NUMBER: prints the files that it changed, for mend.
plant() { tests/faults/plant "$1" "$tree"; }

# mend FILE..: takes the text of the sources again.
mend() {
  local file
  for file in "$@"; do cp "$file" "$tree/$file"; done
}
