FROM tollgate-trial-base:forky
RUN apt-get -o Acquire::Check-Valid-Until=false update \
    && apt-get install --yes --no-install-recommends nginx \
    && rm /etc/nginx/sites-enabled/default
CMD ["nginx", "-g", "daemon off;"]
