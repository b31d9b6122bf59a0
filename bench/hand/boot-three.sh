#!/usr/bin/env bash
# Boots three TLS etcd members by hand, the way a careful person would in a shell, and prints the milliseconds from the
# first command to the first linearizable write through a client certificate. Leaves nothing behind.
#   boot-three.sh ETCD_DIR WORK_DIR NET      NET: first three octets of a loopback network, e.g. 127.90.0
set -euo pipefail
etcd_dir=$1 work=$2 net=$3
pids=()
stop() { for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done; wait 2>/dev/null || true; }
trap stop EXIT
mkdir -p "$work"
cd "$work"
start=$(date +%s%N)

openssl ecparam -name prime256v1 -genkey -noout -out ca-key.pem
openssl req -x509 -new -key ca-key.pem -subj /CN=hand-ca -days 30 -out ca.pem 2>/dev/null
leaf() { # name subject san
  openssl ecparam -name prime256v1 -genkey -noout -out "$1-key.pem"
  openssl req -new -key "$1-key.pem" -subj "$2" -out "$1.csr"
  printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$3" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 30 -extfile "$1.ext" -out "$1.pem" 2>/dev/null
}
cluster= token="hand-$$-$RANDOM"
for i in 1 2 3; do
  leaf "peer$i" /CN=peer "IP:$net.1$i,IP:127.0.0.1,DNS:localhost"
  leaf "server$i" /CN=server "IP:$net.1$i,IP:127.0.0.1,DNS:localhost"
  cluster+="m$i=https://$net.1$i:2380,"
done
leaf client /CN=root 'DNS:client'

for i in 1 2 3; do
  "$etcd_dir/etcd" --name "m$i" --data-dir "$work/data$i" \
    --listen-peer-urls "https://$net.1$i:2380" --initial-advertise-peer-urls "https://$net.1$i:2380" \
    --listen-client-urls "https://$net.1$i:2379" --advertise-client-urls "https://$net.1$i:2379" \
    --initial-cluster "${cluster%,}" --initial-cluster-token "$token" --initial-cluster-state new \
    --client-cert-auth --trusted-ca-file ca.pem --cert-file "server$i.pem" --key-file "server$i-key.pem" \
    --peer-client-cert-auth --peer-trusted-ca-file ca.pem --peer-cert-file "peer$i.pem" --peer-key-file "peer$i-key.pem" \
    --snapshot-count 10000 --logger zap >"etcd$i.log" 2>&1 &
  pids+=($!)
done
endpoints="https://$net.11:2379,https://$net.12:2379,https://$net.13:2379"
until "$etcd_dir/etcdctl" --endpoints "$endpoints" --cacert ca.pem --cert client.pem --key client-key.pem \
  --dial-timeout 1s --command-timeout 2s put hello world >/dev/null 2>&1; do
  sleep 0.05
  if (( ($(date +%s%N) - start) / 1000000 > 60000 )); then echo 'no write within 60 s' >&2; exit 1; fi
done
echo $(( ($(date +%s%N) - start) / 1000000 ))
