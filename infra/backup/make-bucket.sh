#!/usr/bin/env bash
# Makes the artifact store's bucket if it is not there.
source "$FOLDCAM_BACKUP_LIB"
copied mkdir "$STORE"
