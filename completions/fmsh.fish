# Completion of fmsh for fish:  fmsh completion fish > ~/.config/fish/completions/fmsh.fish
function __fmsh_complete
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    set -l lines ($words[1] completion words $words[2..-1] "$word" 2>/dev/null)
    printf '%s\n' $lines[2..-1]
    switch "$lines[1]"
        case files
            __fish_complete_path "$word"
        case directories
            __fish_complete_directories "$word" ''
    end
end
complete -c fmsh -f -a '(__fmsh_complete)'
