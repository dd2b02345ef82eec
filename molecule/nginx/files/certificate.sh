# A certificate for 90 days and the authority that signed it, as a public one would have it.
set -e
names="DNS:edge.example.com,DNS:www.edge.example.com,DNS:old.edge.example.com"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj "/CN=Test authority" \
    -addext keyUsage=critical,keyCertSign,cRLSign -keyout ca.key -out ca.pem
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=edge.example.com" \
    -keyout privkey.pem -out leaf.csr
printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\nkeyUsage=digitalSignature\n' "$names" >leaf.ext
openssl x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 90 -sha256 -extfile leaf.ext -out leaf.pem
cat leaf.pem ca.pem >fullchain.pem
