# SPDX-License-Identifier: BSD-2-Clause
# bash completion for tcpsaga: what --help says now is what is offered.

_tcpsaga() {
    local word=${COMP_WORDS[COMP_CWORD]} program=${COMP_WORDS[0]} verb=${COMP_WORDS[1]}
    local verbs words
    COMPREPLY=()
    verbs=$("$program" --help 2>/dev/null | sed -n '/^Examples/q; s/^  \([a-z]*\) .*/\1/p')
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "$verbs --help --version" -- "$word")
    elif [[ $word == -* ]]; then
        words=$("$program" "$verb" --help 2>/dev/null | grep -o -- '--[a-z0-9-]*' | sort -u)
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    elif [[ $verb == explain ]]; then
        words=$("$program" explain 2>/dev/null | sed -n 's/^\([A-Za-z0-9_-]*\) .*/\1/p')
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    else
        case ${COMP_WORDS[COMP_CWORD - 1]} in
        -o | --output) mapfile -t COMPREPLY < <(compgen -W "table json" -- "$word") ;;
        --source) mapfile -t COMPREPLY < <(compgen -W "auto live agent" -- "$word") ;;
        --hooks) mapfile -t COMPREPLY < <(compgen -W "auto fentry kprobe tracepoint" -- "$word") ;;
        -r | --read | --config | --textfile | --control | --state | record) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        *) mapfile -t COMPREPLY < <(compgen -W "port host netns pid comm state role and or not" -- "$word") ;;
        esac
    fi
}

complete -F _tcpsaga tcpsaga
