// Signs requests for AWS with the signer of its SDK for JavaScript: a request of JSON a line in, its signature a line out.
const {SignatureV4} = require("@smithy/signature-v4");
const {Sha256} = require("@aws-crypto/sha256-js");

require("readline").createInterface({input: process.stdin}).on("line", async (line) => {
  const {service, region, key, secret, moment, method, hostname, path, query, headers, body} = JSON.parse(line);
  const signer = new SignatureV4({
    service, region, sha256: Sha256, applyChecksum: false, credentials: {accessKeyId: key, secretAccessKey: secret},
  });
  const request = {method, protocol: "https:", hostname, path, query, headers, body};
  const signed = await signer.sign(request, {signingDate: new Date(moment)});
  console.log(signed.headers.authorization);
});
