#!/usr/bin/env bash
# A TLS cluster of three etcd members driven by hand, the way a careful person would in a shell: what the benchmarks
# compare the product with. Each command prints the milliseconds it took.
#   cluster.sh boot WORK NET ETCD_DIR      first command to first linearizable write; NET: e.g. 127.90.0
#   cluster.sh lose WORK leader|follower   kill -9 of one, and its disk with it; prints its name
#   cluster.sh replace WORK NAME ETCD_DIR  a lost member: remove, add as learner, start, promote, all healthy
#   cluster.sh patch WORK ETCD_DIR         all members by surge with this binary, leader last
#   cluster.sh stop WORK                   ends every member it started
# ETCD_DIR holds etcd and etcdctl.
set -euo pipefail
command=$1 work=$2
shift 2

now() { echo $(($(date +%s%N) / 1000000)); }
start=$(now)
patience_ms=120000
# Again and again until it works; nothing of it is printed unless it never does.
retry() {
  until "$@" >"$work/last.log" 2>&1; do
    if (($(now) - start > patience_ms)); then
      echo "gave up on: $*" >&2
      cat "$work/last.log" >&2
      exit 1
    fi
    sleep 0.05
  done
}
leaf() { # name subject san
  openssl ecparam -name prime256v1 -genkey -noout -out "$1-key.pem"
  openssl req -new -key "$1-key.pem" -subj "$2" -out "$1.csr"
  printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$3" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 30 -extfile "$1.ext" -out "$1.pem" 2>/dev/null
}
leaves() { # member
  leaf "peer-$1" /CN=peer "IP:$(ip "$1"),IP:127.0.0.1,DNS:localhost"
  leaf "server-$1" /CN=server "IP:$(ip "$1"),IP:127.0.0.1,DNS:localhost"
}
# Members are m1, m2 and so on, each on an address of its own.
ip() { echo "$(cat "$work/net").$((10 + ${1#m}))"; }
peer_url() { echo "https://$(ip "$1"):2380"; }
client_url() { echo "https://$(ip "$1"):2379"; }
members() { (cd "$work/running" && ls); }
endpoints() { for name in $(members); do printf '%s,' "$(client_url "$name")"; done | sed 's/,$//'; }
ctl() {
  "$work/etcdctl" --endpoints "${at:-$(endpoints)}" --cacert "$work/ca.pem" --cert "$work/client.pem" \
    --key "$work/client-key.pem" --dial-timeout 1s --command-timeout 2s "$@"
}
id_of() { ctl member list | awk -F', ' -v name="$1" '$3 == name { print $1 }'; }
launch() { # name etcd-dir initial-cluster state
  "$2/etcd" --name "$1" --data-dir "$work/data-$1" \
    --listen-peer-urls "$(peer_url "$1")" --initial-advertise-peer-urls "$(peer_url "$1")" \
    --listen-client-urls "$(client_url "$1")" --advertise-client-urls "$(client_url "$1")" \
    --initial-cluster "$3" --initial-cluster-token "$(cat "$work/token")" --initial-cluster-state "$4" \
    --client-cert-auth --trusted-ca-file ca.pem --cert-file "server-$1.pem" --key-file "server-$1-key.pem" \
    --peer-client-cert-auth --peer-trusted-ca-file ca.pem --peer-cert-file "peer-$1.pem" --peer-key-file "peer-$1-key.pem" \
    --snapshot-count 10000 --logger zap >"$1.log" 2>&1 &
  echo $! >"running/$1"
}
end() { # name
  kill -9 "$(cat "$work/running/$1")" 2>/dev/null || true
  rm -rf "$work/running/$1" "$work/data-$1"
}
next_name() {
  local count=$(($(cat "$work/count") + 1))
  echo $count >"$work/count"
  echo "m$count"
}
# A new member of a cluster that runs: learner, in sync, voter.
admit() { # name etcd-dir
  leaves "$1"
  retry ctl member add "$1" --learner --peer-urls "$(peer_url "$1")"
  local cluster
  cluster=$(sed -n 's/^ETCD_INITIAL_CLUSTER="\(.*\)"$/\1/p' "$work/last.log")
  launch "$1" "$2" "$cluster" existing
  local id
  id=$(at=$(others "$1") id_of_peer "$1")
  at=$(others "$1") retry ctl member promote "$id"
  at=$(client_url "$1") retry ctl endpoint health
}
# The first column that is true or false says who leads: which one it is differs between minors.
leader_url() {
  retry ctl endpoint status
  awk -F', ' '{ for (i = 3; i <= NF; i++) if ($i == "true" || $i == "false") { if ($i == "true") print $1; break } }' "$work/last.log"
}
others() { for name in $(members); do [ "$name" = "$1" ] || printf '%s,' "$(client_url "$name")"; done | sed 's/,$//'; }
id_of_peer() { ctl member list | awk -F', ' -v url="$(peer_url "$1")" '$4 == url { print $1 }'; }

case $command in
  boot)
    mkdir -p "$work/running"
    cd "$work"
    echo "$1" >net
    echo 3 >count
    echo "hand-$$-$RANDOM" >token
    cp "$2/etcdctl" etcdctl
    start=$(now)
    openssl ecparam -name prime256v1 -genkey -noout -out ca-key.pem
    openssl req -x509 -new -key ca-key.pem -subj /CN=hand-ca -days 30 -out ca.pem 2>/dev/null
    cluster=
    for name in m1 m2 m3; do
      leaves "$name"
      cluster+="$name=$(peer_url "$name"),"
    done
    leaf client /CN=root DNS:client
    for name in m1 m2 m3; do launch "$name" "$2" "${cluster%,}" new; done
    retry ctl put hello world
    ;;
  lose)
    cd "$work"
    leader=$(leader_url)
    for name in $(members); do
      role=follower
      [ "$(client_url "$name")" != "$leader" ] || role=leader
      [ "$role" = "$1" ] || continue
      end "$name"
      echo "$name"
      exit
    done
    echo "no $1 runs" >&2
    exit 1
    ;;
  replace)
    cd "$work"
    [ ! -e "running/$1" ] || { echo "$1 still runs" >&2; exit 1; }
    id=$(id_of "$1")
    retry ctl member remove "$id"
    admit "$(next_name)" "$2"
    retry ctl endpoint health
    ;;
  patch)
    cd "$work"
    leader=$(leader_url)
    order=
    for name in $(members); do [ "$(client_url "$name")" = "$leader" ] || order+="$name "; done
    for name in $(members); do [ "$(client_url "$name")" != "$leader" ] || order+="$name "; done
    for name in $order; do
      new=$(next_name)
      admit "$new" "$1"
      if [ "$(client_url "$name")" = "$leader" ]; then at=$leader retry ctl move-leader "$(id_of "$new")"; fi
      id=$(id_of "$name")
      at=$(others "$name") retry ctl member remove "$id"
      end "$name"
    done
    retry ctl endpoint health
    ;;
  stop)
    for name in $(members); do end "$name"; done
    ;;
  *)
    echo "boot, lose, replace, patch or stop, not $command" >&2
    exit 2
    ;;
esac
echo $(($(now) - start))
