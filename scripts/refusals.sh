#!/usr/bin/env bash
# Shows that wrong settings of `make up` and `make down` end at once, in one plain line that names the setting.
# Part of `make lint`, beside the check of the scripts' syntax: builds nothing and needs no cluster.
. "$(dirname "$0")/lib.sh"

# refused SCRIPT WORDS [NAME=VALUE]...
refused() {
  local script=$1 words=$2 said; shift 2
  # No kubectl of the user's may answer in the place of the check.
  said=$(env KUBECTL=false KUBECONFIG=/dev/null "$@" "$REPO/scripts/$script" 2>&1) && die "$script with '$*' was not refused"
  [[ $said == error:*"$words"* && $said != *$'\n'* ]] || die "$script with '$*' does not say '$words' in one line, but: $said"
}

refused up.sh "it is 'own' (the default) or 'current'" CLUSTER=other
refused up.sh "set IMAGE_REPO=registry/you, or LOAD=" CLUSTER=current
refused up.sh "choose one way" CLUSTER=current IMAGE_REPO=registry.example/you LOAD=true
refused up.sh "without https://" CLUSTER=current IMAGE_REPO=https://registry.example/you
refused up.sh "go together" CLUSTER=current IMAGE_REPO=registry.example/you IMAGE_USER=you
refused up.sh "your kubeconfig chooses no cluster" CLUSTER=current LOAD=true
refused down.sh "it is 'own' (the default) or 'current'" CLUSTER=other
refused down.sh "your kubeconfig chooses no cluster" CLUSTER=current
say "wrong settings are refused in one plain line"
