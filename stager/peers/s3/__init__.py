"""Object stores that speak S3, and buckets of them.

- ``connection``: what an operator says of a bucket; ``check``: what is wrong with that;
- ``names``: which paths can be keys;
- ``bucket``: what is there; ``abilities``: what its store is able to do, which is tried;
- ``upload``: brings a file there, whole or not at all; ``single``: a small object from memory;
- ``locks``: keep an object, where the bucket locks objects.

Nothing is imported here: ``connection`` and ``names`` do without boto3, which takes a process 20 MiB.

Notes
-----
S3's API: https://docs.aws.amazon.com/AmazonS3/latest/API/. Ceph's: https://docs.ceph.com/en/latest/radosgw/s3/.
"""
