# Completion of fmsh for bash: source this file, for example from ~/.bashrc:  eval "$(fmsh completion bash)"
_fmsh() {
  local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local jobs='list show attach wait output log inspect why trace fork script cancel pause resume retry answer signal export import gc rm'
  local options='-c -d --detach --key --name --tag --json --check --plan --hold -v --verbose --version --help'
  COMPREPLY=()
  if [[ $command == jobs && $COMP_CWORD -eq 2 ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$jobs" -- "$word")
  elif [[ $command == jobs && ${COMP_WORDS[2]} == import ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
  elif [[ $command == jobs ]]; then
    mapfile -t COMPREPLY < <(compgen -W "last $(fmsh jobs list --all --json 2>/dev/null | grep -o '"id": *[0-9]*' | grep -o '[0-9]*') --json" -- "$word")
  elif [[ $command == daemon && $COMP_CWORD -eq 2 ]]; then
    mapfile -t COMPREPLY < <(compgen -W 'start stop status run install uninstall' -- "$word")
  elif [[ $command == config && $COMP_CWORD -eq 2 ]]; then
    mapfile -t COMPREPLY < <(compgen -W 'get set path' -- "$word")
  elif [[ $command == config && $COMP_CWORD -eq 3 ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(fmsh config 2>/dev/null | cut -d' ' -f1)" -- "$word")
  elif [[ $command == doctor ]]; then
    mapfile -t COMPREPLY < <(compgen -W '--repair --json --help' -- "$word")
  elif [[ $command == completion && $COMP_CWORD -eq 2 ]]; then
    mapfile -t COMPREPLY < <(compgen -W 'bash zsh fish' -- "$word")
  elif [[ $command == fmt && $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W '--check --json' -- "$word")
  elif [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
  else
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
    [[ $COMP_CWORD -eq 1 ]] && mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W 'jobs test daemon fmt help completion secret config doctor' -- "$word")
  fi
}
complete -F _fmsh fmsh
