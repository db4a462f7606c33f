# check.jq: what came of one scenario, compared. Per form, lives and transitions:
# "FORM: alike", or both sides as lines "FORM expected: ..." and "FORM told: ...",
# sorted, because which of two connections is told first is not ours to say.
# Then what sound.jq has to complain about.
#
#   $traffic         traffic's lines
#   $flows, $trace   tcpsaga's: all it told, or ($whole false) those of the test
#   $rows, $name     see expected.jq
#   $netns, $kernel  the namespaces' inodes, what uname says
include "expected";
include "lives";
include "transitions";
import "sound" as sound;

def compare($form; told):
  [$traffic | expected($form; $rows; $name)] as $expected
  | ($expected | sort) as $expected
  | ([told] | lenient($expected) | sort) as $told
  | if $expected == [] then "\($form): nothing to compare with"
    elif $expected == $told then "\($form): alike"
    else "\($form) expected: \($expected[])", "\($form) told: \($told[])" end;

def sound: (reduce $netns[] as $n ({}; .["\($n)"] = true)) as $known
  | if $whole then sound::complaints(.; empty; $known; $kernel)
    else sound::line_complaints($known) end;

compare("lives"; $flows | lives),
compare("transitions"; $trace | transitions),
($flows, $trace | sound)
