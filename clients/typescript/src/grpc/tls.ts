/** Encryption of gRPC. */
import { readFileSync } from "node:fs";
import { type ChannelCredentials, credentials as grpcCredentials } from "@grpc/grpc-js";
import { InvalidConfigError } from "../errors.js";

/** A PEM file: its path, or its bytes. */
export type PemFile = string | Uint8Array;

/** Encryption. Without files, the trusted authorities of Node are used. */
export interface TlsOptions {
  /** The authorities to trust. */
  rootCertificates?: PemFile;
  /** This client's certificate, where the server asks for one. */
  certificateChain?: PemFile;
  /** Its key. */
  privateKey?: PemFile;
  /** Name the server's certificate bears, when it differs from the address. */
  serverName?: string;
}

/** @throws InvalidConfigError for a file that cannot be read or is no PEM, or a certificate without its key. */
export function credentials(tls: TlsOptions | undefined): ChannelCredentials {
  if (tls === undefined) {
    return grpcCredentials.createInsecure();
  }
  const { rootCertificates, privateKey, certificateChain } = tls;
  if ((privateKey === undefined) !== (certificateChain === undefined)) {
    throw new InvalidConfigError("a client certificate needs both certificateChain and privateKey", { field: "tls" });
  }
  const files = [rootCertificates, privateKey, certificateChain].map((file) => file && pem(file)) as (
    | Buffer
    | undefined
  )[];
  try {
    return grpcCredentials.createSsl(files[0] ?? null, files[1] ?? null, files[2] ?? null);
  } catch (error) {
    throw new InvalidConfigError(`the TLS files are not usable: ${String(error)}`, { field: "tls", cause: error });
  }
}

function pem(file: PemFile): Buffer {
  if (typeof file !== "string") {
    return Buffer.from(file);
  }
  try {
    return readFileSync(file);
  } catch (error) {
    const said = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new InvalidConfigError(`TLS file ${JSON.stringify(file)} cannot be read: ${said}`, { field: "tls" });
  }
}
