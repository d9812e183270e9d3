#!/bin/sh
# Packs a release: pack.sh NAME DIRECTORY. Takes some seconds, as packing does, and notes each of its runs beside the result.
set -eu
name=$1
out=$2
mkdir -p "$out"
echo "$$" >> "$out/$name.runs"
for part in code assets licenses; do
  echo "  packing $part"
  sleep 0.7
done
printf '%s\n' "$name" > "$out/$name.txt"
tar -cf "$out/$name.tar" -C "$out" "$name.txt"
