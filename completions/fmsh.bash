# Completion of fmsh for bash: source this file, for example from ~/.bashrc:  eval "$(fmsh completion bash)"
_fmsh() {
  local words=() word line lines
  COMPREPLY=()
  for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do # bash parts words at `=`
    if [[ $word == '=' && ${#words[@]} -gt 0 ]]; then
      words[-1]+='='
    else
      words+=("$word")
    fi
  done
  word=${COMP_WORDS[COMP_CWORD]}
  if [[ $word == '=' ]]; then
    word=''
    words+=('')
  fi
  mapfile -t lines < <("${1:-fmsh}" completion words "${words[@]}" 2>/dev/null)
  for line in "${lines[@]:1}"; do
    COMPREPLY+=("${line%%$'\t'*}")
  done
  case ${lines[0]} in
    files)
      compopt -o filenames 2>/dev/null
      mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$word")
      ;;
    directories)
      compopt -o filenames 2>/dev/null
      mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "$word")
      ;;
  esac
}
complete -F _fmsh fmsh
