# check.jq: what came of one scenario, compared. Per form, lives and transitions:
# "FORM: alike", or both sides as lines "FORM expected: ..." and "FORM told: ...",
# sorted, because which of two connections is told first is not ours to say.
#
#   $traffic        traffic's lines
#   $flows, $trace  tcpsaga's
#   $rows, $name    see expected.jq
include "expected";
include "lives";
include "transitions";

def compare($form; told):
  [$traffic | expected($form; $rows; $name)] as $expected
  | ($expected | sort) as $expected
  | ([told] | lenient($expected) | sort) as $told
  | if $expected == [] then "\($form): nothing to compare with"
    elif $expected == $told then "\($form): alike"
    else "\($form) expected: \($expected[])", "\($form) told: \($told[])" end;

compare("lives"; $flows | lives),
compare("transitions"; $trace | transitions)
