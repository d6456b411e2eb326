/*
 * The names of OpenSSL's types that the Globus headers mention, for bindgen alone (nothing is compiled with this).
 *
 * These bindings never look into an OpenSSL structure, and reading all of OpenSSL's own headers to learn that takes
 * two thirds of the time of the build script. The folder stands first on bindgen's include path; the other files in it
 * include this one.
 */
#ifndef GLOBUS_SYS_OPENSSL_NAMES_H
#define GLOBUS_SYS_OPENSSL_NAMES_H

#define STACK_OF(type) struct stack_st_##type

struct stack_st_ASN1_INTEGER;
struct stack_st_ASN1_OBJECT;
struct stack_st_OPENSSL_STRING;
struct stack_st_X509;

typedef struct asn1_string_st ASN1_UTCTIME;
typedef struct bio_st BIO;
typedef struct evp_pkey_st EVP_PKEY;
typedef struct X509_st X509;
typedef struct X509_extension_st X509_EXTENSION;
typedef struct X509_name_st X509_NAME;
typedef struct x509_store_ctx_st X509_STORE_CTX;

#endif
